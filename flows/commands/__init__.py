"""The command line `mixstitch`: one file a group of commands, one console."""
