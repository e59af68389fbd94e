"""What counts as a picture, whoever brings it.

Raster images alone (PNG, JPEG, WebP, GIF): an SVG is a program. A picture that is small as a file and huge as
pixels is refused by its header, before it is unpacked.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
MOST_PIXELS = 50_000_000


class ImageRefused(Exception):
    def __init__(self, cause: str, action: str) -> None:
        super().__init__(cause)
        self.cause, self.action = cause, action


@dataclass(frozen=True, slots=True)
class Picture:
    media_type: str
    width: int
    height: int


def picture_of(data: bytes) -> Picture:
    """What kind of image these bytes are. Raises ImageRefused."""
    wrong = ImageRefused("The file is no image that can be shown.", "Use PNG, JPEG, WebP or GIF.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
                width, height = image.size
                media_type = FORMATS[image.format or ""]
                if width * height > MOST_PIXELS:
                    raise ImageRefused(
                        f"The image has {width:,} × {height:,} pixels.", "Make it smaller; 50 million fit."
                    )
                image.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, KeyError, Image.DecompressionBombError):
        raise wrong from None
    return Picture(media_type, width, height)
