"""Imported first: C++ extensions link their functions when they are called, not when they are loaded."""

import os
import sys

if hasattr(os, "RTLD_LAZY"):
    sys.setdlopenflags(os.RTLD_LAZY)
