"""Blending runs into a submission, and verifying it."""
