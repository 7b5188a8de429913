"""What a run shows: progress bar, TensorBoard, callbacks, FLOPs, profile."""
