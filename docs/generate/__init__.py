"""Makes the pages of the site that are read off the code: config, store, laws, commands, notebooks."""
