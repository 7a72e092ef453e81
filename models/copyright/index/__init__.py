"""An exact Hamming index of 256-bit hashes, in memory and in files."""
