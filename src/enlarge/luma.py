"""Luma of BT.601 (ITU-R BT.601-7, 2.5.1), which is that of JPEG and of most networks for gray."""

from __future__ import annotations

LUMA = (0.299, 0.587, 0.114)
"""The shares of red, green and blue."""
