"""What is seen of a run: TensorBoard, callbacks, FLOPs."""
