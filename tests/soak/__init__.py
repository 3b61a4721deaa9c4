"""Long checks under damage and load: each module is a command, bounded in time, with a recorded seed."""
