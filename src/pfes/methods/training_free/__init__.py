"""The method ``training_free``: excursions of the face from its rest (METHOD 10b)."""
