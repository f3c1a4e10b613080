"""What every room stands on: errors, intervals, records, the files of stages, provenance, settings, logs."""
