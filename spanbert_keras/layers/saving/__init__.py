"""What Keras does not save of the layers inside a layer: frozen, quantized, adapted, regularized ones."""
