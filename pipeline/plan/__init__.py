"""From a config to priced blocks and tasks."""
