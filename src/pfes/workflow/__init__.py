"""What a run is, before any work: settings, plan, checks, cost."""
