"""From curves and outputs of one video to proposals: pure functions."""
