"""A batch of networks of one shape: forward, backward, tangent kernels and updates in place."""
