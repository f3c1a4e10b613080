"""Stage evaluate: proposals against labelled expressions, counts before ratios, intervals over subjects."""
