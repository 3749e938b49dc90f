from pymeter.scale.slots import slot_of
__all__=["slot_of"]
