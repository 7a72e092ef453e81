"""The one door for media: fetch, probe, open, decode and draw what a viewer sees.

Nothing else opens media. All limits of untrusted media are set here, before the first probe.
"""
