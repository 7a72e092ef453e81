"""Words that are heard: where somebody speaks, what is said, and in which language.

``listener.py`` puts it together. The voice activity detector is Silero's (``voice.py``), and the
recogniser Moonshine tiny for English (``moonshine.py``), both with weights from Python packages of
the extra ``speech``; or any model for speech recognition of Hugging Face (``hub.py``).
"""
