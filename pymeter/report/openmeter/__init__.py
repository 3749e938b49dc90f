"""OpenMeter, or what takes CloudEvents as it does: its biller, and its answers (extra ``openmeter``)."""
