"""The commands of `widesweep`, by subject. A new one is a function here and its name in `cli.COMMANDS`."""
