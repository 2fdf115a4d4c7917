"""Training: one member (member.py) with its resumable state (state.py), and all members of a run (cross_validation.py)."""
