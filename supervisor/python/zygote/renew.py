"""What must not be the same in two children of one zygote: everything random or unique that its imports have made."""

import array
import ctypes
import gc
import os
import sys
import time


def random_generators():
    """Every generator of random numbers that there is by now, whoever has made it."""
    kinds = ()
    if "random" in sys.modules:
        kinds += (sys.modules["random"].Random,)
    if "numpy.random" in sys.modules:
        kinds += (sys.modules["numpy.random"].RandomState, sys.modules["numpy.random"].BitGenerator)
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]


def twisters(generators):
    """Where the states of Mersenne twisters lie, as addresses and sizes, and the other generators.

    Random bytes are as good a state of a twister as any, so native code fills these anew in each child. See
    NumPy's documentation of `BitGenerator.ctypes`; Python's own generators are looked for their state.
    """
    states, others = [], []
    for generator in generators:
        try:
            if "random" in sys.modules and type(generator) is sys.modules["random"].SystemRandom:
                continue  # it has no state, it draws from the kernel
            if hasattr(generator, "getrandbits") and generator.gauss_next is None:
                _, (*words, _), _ = generator.getstate()
                offset = ctypes.string_at(id(generator), type(generator).__basicsize__).find(array.array("I", words))
                if type(generator) is sys.modules["random"].Random and len(words) == 624 and any(words) and offset > 0:
                    states += [id(generator) + offset, 624 * 4]
                    continue
            if type(generator).__name__ == "MT19937" and len(generator.state["state"]["key"]) == 624:
                states += [generator.ctypes.state_address, 624 * 4]
                continue
            if type(generator).__name__ == "RandomState" and not generator.get_state(legacy=False)["has_gauss"]:
                if type(generator._bit_generator).__name__ == "MT19937":
                    continue  # all of its state is the twister's, which is in the list by itself
        except (AttributeError, KeyError, TypeError):
            pass
        others.append(generator)
    return states, others


def renewal(generators):
    """What each child does first. Nothing random or unique may be the same in two children of one zygote. What cannot be changed is
    the secret behind the hashes of strings, for every dict that the imports have filled depends on it.

    What is looked up here is not looked up in each child, which would copy a page for each.
    """
    modules, random_bytes, now = sys.modules, os.urandom, time.time
    threading, uuid, process, logging = map(modules.get, ("threading", "uuid", "multiprocessing.process", "logging"))
    add_to_openssl = "_ssl" in modules and modules["_ssl"].RAND_add
    main_thread = threading and vars(threading.main_thread())
    thread_id = threading and threading.get_native_id
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None
    if uuid:
        uuid._last_timestamp = None
        # The C library's own node and clock sequence, which nothing can renew once they were used.
        uuid._generate_time_safe = None
    if logging and isinstance(logging._startTime, int):  # from Python 3.13 on, in nanoseconds
        now = time.time_ns

    def renew():
        for generator in generators:
            reseed(generator)
        if add_to_openssl:
            # Its own look at the process id does not tell it of the fork: the first of each namespace has the same.
            add_to_openssl(random_bytes(32), 32.0)
        if main_thread:
            main_thread["_native_id"] = thread_id()
        if uuid:
            # A network address that is none, as RFC 9562, 6.10 has it.
            uuid._node = int.from_bytes(random_bytes(6), "big") | 1 << 40
        if process:
            process.current_process().authkey = random_bytes(32)
        if logging:
            logging._startTime = now()

    return renew


def reseed(generator):
    if hasattr(generator, "getrandbits"):
        sys.modules["random"].Random.seed(generator)
    elif hasattr(generator, "random_raw"):
        generator.state = type(generator)().state
    else:
        generator.__init__(type(generator._bit_generator)())
