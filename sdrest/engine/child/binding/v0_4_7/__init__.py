"""All that is known of the interface of stable-diffusion.cpp as stable-diffusion-cpp-python 0.4.7 has it.

:mod:`.interface` says what there is: functions, sizes of structures, enumerations, defaults. :mod:`.structures` fills the
structures from the parameters. A further version gets a package of its own beside this one, and a line in
:mod:`sdrest.engine.child.binding.abi`.
"""
