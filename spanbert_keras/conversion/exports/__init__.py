"""Exports for other runtimes: SavedModel, ONNX, LiteRT. Each export is run and compared with the model."""
