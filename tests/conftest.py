"""For all tests: pytest's own fixture for tests of plugins, and Ctrl-C for the processes that tests start."""

import signal

pytest_plugins = ["pytester"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore it, and so would every child that a test means to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
