"""LAC: Learning Action Completeness from Points. Lee and Byun, ICCV 2021, arXiv 2108.05029 (METHOD 10.1)."""
