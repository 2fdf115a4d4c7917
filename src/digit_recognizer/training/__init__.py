"""Training: one member (member.py) with its checkpoint, the processes that train members, and all members of a run."""
