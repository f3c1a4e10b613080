"""Methods of spotting: each a module, all in ``pfes.methods.registry``, spoken to through ``pfes.methods.base``."""
