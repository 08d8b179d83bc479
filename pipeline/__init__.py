"""A config in, a finished store and its report out: plan, schedule, store, and the command."""
