"""The training step on each backend, with what it needs: objective, optimizer, loss scale."""
