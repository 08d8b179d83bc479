"""What theory says of a config."""
