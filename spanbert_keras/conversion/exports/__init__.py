"""Models for other runtimes: SavedModel, ONNX, LiteRT; each file is run and compared."""
