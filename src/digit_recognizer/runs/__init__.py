"""The run folder: its files, records, lock, status and comparison. The only reader and writer of runs/."""
