"""What the numbers of a result mean, in terms that its format can hold."""

from __future__ import annotations

from dataclasses import replace

from enlarge.errors import OptionError
from enlarge.media.colour.colour import Cicp, Colour
from enlarge.media.colour.profile import profile_code_points
from enlarge.media.colour.profile_making import profile_of, rgb_profile_of_gray
from enlarge.media.converting import check_profile
from enlarge.media.formats.format import Content
from enlarge.media.metadata.exif_colour import colour_of_exif
from enlarge.media.metadata.metadata import Metadata


def fit_colour(
    metadata: Metadata, content: Content, channels: int, name: str
) -> tuple[Metadata, list[str]]:
    """The metadata of a picture with so many channels, its colour as a format can hold it, and a
    line for what it cannot.

    `content`: what the format holds; `name`: its name in messages. What can only be held as a
    profile becomes one. Precedence is PNG's: code points, then the profile, then sRGB, gamma and
    chromaticities.
    """
    as_gray = channels <= 2 and content.gray_profile
    if metadata.icc is not None and channels <= 2 and not as_gray:
        metadata = replace(metadata, icc=rgb_profile_of_gray(metadata.icc))
    if metadata.colour is None:
        return metadata, []
    return _fitted(metadata, metadata.colour, content, 1 if as_gray else 3, name)


def _fitted(
    metadata: Metadata, colour: Colour, content: Content, channels: int, name: str
) -> tuple[Metadata, list[str]]:
    if "gamma" in content.metadata:
        return _with_fallback(metadata, colour, channels), []
    cicp = colour.cicp if colour.cicp and colour.cicp.is_specified else None
    left = replace(colour, cicp=None, gamma=None, chromaticities=None, srgb_intent=None)
    if cicp is not None and "cicp" in content.metadata and cicp.full_range:
        return replace(metadata, icc=None, colour=replace(left, cicp=cicp)), []
    if colour.hdr:  # the line on HDR says it all
        left = replace(left, mastering=None, light=None)
    kept = replace(metadata, colour=left if left.names() else None)
    if cicp is None and metadata.icc is not None:
        return kept, []
    if cicp.is_srgb if cicp else colour.is_srgb:
        return replace(kept, icc=None), []
    icc = metadata.icc if _says(metadata.icc, cicp) else profile_of(colour, channels)
    if icc is None:
        return replace(kept, icc=None), [
            f"{name} cannot hold the description of the colour ({colour}), which is left out; "
            "choose png to keep it"
        ]
    return replace(kept, icc=icc), [_hdr_note(cicp, name)] if cicp and cicp.hdr else []


def _says(icc: bytes | None, cicp: Cicp | None) -> bool:
    """Whether a profile has such code points."""
    return icc is not None and cicp is not None and profile_code_points(icc) == cicp


def with_named_colour(metadata: Metadata) -> Metadata:
    """The metadata, with the code points by which its profile says that the picture is HDR, or the
    colour space that EXIF names where nothing else does.
    """
    colour = metadata.colour or Colour()
    if metadata.icc is None:
        if metadata.exif is None or colour.names() & {"cicp", "gamma"}:
            return metadata
        return replace(metadata, colour=colour_of_exif(metadata.exif) or metadata.colour)
    cicp = profile_code_points(metadata.icc)
    if colour.cicp is not None or cicp is None or not cicp.hdr:
        return metadata
    return replace(metadata, colour=replace(colour, cicp=cicp))


def converted_colour(metadata: Metadata, channels: int) -> tuple[Metadata, bytes | None, list[str]]:
    """The metadata of a picture that is converted to sRGB, the profile to convert from (None: it is
    sRGB already, or does not say what it is), and a line for what is lost.

    Raises `OptionError` where it cannot be converted.
    """
    colour = metadata.colour or Colour()
    cicp = colour.cicp if colour.cicp and colour.cicp.is_specified else None
    srgb = replace(metadata, icc=None, colour=Colour(srgb_intent=0))
    if cicp is not None:
        icc = None if cicp.is_srgb else profile_of(colour, channels)
        if icc is None and not cicp.is_srgb:
            raise OptionError(f"--colour srgb: cannot convert {cicp}; leave the option out")
    elif metadata.icc is not None:
        icc = metadata.icc
    else:
        icc = None if colour.is_srgb else profile_of(colour, channels)
    if icc is None:
        return (srgb if colour.names() else metadata), None, []
    check_profile(icc, channels)
    clipped = f"{colour.hdr} is converted to sRGB: light above diffuse white is clipped"
    return srgb, icc, [clipped] if colour.hdr else []


def _hdr_note(cicp: Cicp, name: str) -> str:
    kind, remedy = "HDR", "png or avif"
    if not cicp.full_range:
        kind, remedy = "HDR of a narrow range", "png"
    return (
        f"{name} holds no {kind}: programs show the picture ({cicp.hdr}) without the light above "
        f"diffuse white; choose {remedy} to keep it"
    )


def _with_fallback(metadata: Metadata, colour: Colour, channels: int) -> Metadata:
    """Code points for PNG, with a profile beside them for programs that do not know cICP."""
    cicp = colour.cicp
    has_other = metadata.icc is not None or "gamma" in colour.names()
    if cicp is None or not cicp.is_specified or cicp.is_srgb or cicp.hdr or has_other:
        return metadata
    return replace(metadata, icc=profile_of(Colour(cicp=cicp), channels))
