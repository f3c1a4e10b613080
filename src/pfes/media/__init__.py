"""Recordings: decoded into frames with their times, and video written."""
