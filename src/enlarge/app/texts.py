"""Every sentence of the page, in English and Korean, side by side."""

from __future__ import annotations

import re
from typing import Any, Literal

from enlarge.app.fusing_texts import FUSING_TEXTS
from enlarge.app.video_texts import VIDEO_TEXTS

Language = Literal["en", "ko"]
LANGUAGES: dict[Language, str] = {"en": "English", "ko": "한국어"}

TEXTS: dict[str, tuple[str, str]] = {
    **FUSING_TEXTS,
    **VIDEO_TEXTS,
    "tagline": (
        "Small pictures, enlarged and sharp. Colours and metadata are kept.",
        "작은 사진을 크고 또렷하게. 담긴 정보는 그대로 지킵니다.",
    ),
    "language": ("Language", "언어"),
    "tab_enlarge": ("Enlarge", "확대"),
    "tab_plan": ("How it works", "작동 방식"),
    "tab_compare": ("Compare models", "모델 비교"),
    "tab_fuse": ("Fuse frames", "여러 장 합치기"),
    # Bringing pictures
    "upload": (
        "Drop pictures here, choose files, or paste a picture",
        "사진을 끌어다 놓거나, 고르거나, 붙여넣으세요",
    ),
    "upload_help": (
        "JPEG, PNG, WebP, TIFF, AVIF, GIF, BMP, HEIC, JPEG XL or JPEG 2000.",
        "JPEG, PNG, WebP, TIFF, AVIF, GIF, BMP, HEIC, JPEG XL, JPEG 2000.",
    ),
    "sample": ("Try the sample", "예시 사진으로 해 보기"),
    "choose": ("Choose files", "파일 고르기"),
    "limits": (
        "up to {files} files of {size} and {pixels} megapixels each",
        "한 번에 {files}개, 파일마다 {size}, {pixels}백만 화소까지",
    ),
    "remove": ("Remove this picture", "이 사진 빼기"),
    "promise_lossless": (
        "**Nothing is dropped silently.** Colour profile, EXIF, transparency and 16-bit depth are "
        "kept. If a format cannot hold one of them, you are told.",
        "**말없이 잃는 것이 없습니다.** 색 프로파일, EXIF, 투명도, 16비트가 남고, 형식이 담지 "
        "못하는 것은 알려 줍니다.",
    ),
    "promise_seamless": (
        "**No seams.** Pictures are enlarged in overlapping parts, whose edges do not show.",
        "**이음매가 없습니다.** 겹치는 조각으로 나누어 확대하므로 경계가 보이지 않습니다.",
    ),
    "promise_here": (
        "**No cloud.** The computer that serves this page does all the work, and your pictures go "
        "nowhere else.",
        "**밖으로 나가지 않습니다.** 이 페이지를 띄운 컴퓨터가 확대하고, "
        "다른 곳으로 보내지 않습니다.",
    ),
    "sample_by": (
        "Sample: “Friends” by Aitzol Berasategi, CC BY 4.0",
        "예시 사진: “Friends”, Aitzol Berasategi, CC BY 4.0",
    ),
    "private": (
        "No other visitor sees your pictures, and they are deleted soon after you close the page.",
        "올린 사진은 다른 방문자가 볼 수 없고, 페이지를 닫으면 곧 지워집니다.",
    ),
    "picture": ("Picture or video", "사진·동영상"),
    # What cannot be taken
    "too_large": (
        "{name} is too large: {size}, and this page accepts files of up to {limit}. Save it "
        "smaller, or use the command line, which has no limit: enlarge {name}",
        "{name}의 크기는 {size}인데, 이 페이지는 {limit}까지 받습니다. 더 작게 저장하거나, 제한이 "
        "없는 명령줄을 쓰세요: enlarge {name}",
    ),
    "too_many_pixels": (
        "{name} has {pixels} megapixels ({width} × {height}), and this page accepts up to {limit}. "
        "Reduce it, or use the command line, which has no limit: enlarge {name}",
        "{name}은(는) {pixels}백만 화소({width} × {height})인데, 이 페이지는 {limit}백만 화소까지 "
        "받습니다. 줄여서 올리거나, 제한이 없는 명령줄을 쓰세요: enlarge {name}",
    ),
    "result_too_large": (
        "The result would have {pixels} megapixels ({width} × {height}), and this page makes up to "
        "{limit}. Choose a smaller size.",
        "결과가 {pixels}백만 화소({width} × {height})가 되는데, 이 페이지는 {limit}백만 화소까지 "
        "만듭니다. 더 작은 크기를 고르세요.",
    ),
    "too_many_files": (
        "{count} files were left out: this page accepts {limit} at a time.",
        "파일 {count}개는 받지 않았습니다. 이 페이지는 한 번에 {limit}개까지 받습니다.",
    ),
    "no_room": (
        "{name} could not be saved: the disk of the computer that serves this page is full. Try "
        "again later.",
        "{name}을(를) 저장하지 못했습니다. 이 페이지를 띄운 컴퓨터의 디스크가 가득 찼습니다. "
        "나중에 다시 해 보세요.",
    ),
    "unreadable": ("{reason}", "{name}은(는) 사진으로 읽을 수 없습니다. ({reason})"),
    "impossible": ("{reason}", "이 설정으로는 만들 수 없습니다. ({reason})"),
    "failed": ("The picture could not be enlarged: {reason}", "확대하지 못했습니다: {reason}"),
    # Settings
    "model": ("Model", "모델"),
    "model_help": (
        "The trained network that enlarges the picture. fast and quality are for clean pictures, "
        "without visible noise or compression; photo and photo-sharp for pictures that were "
        "compressed, printed or filmed.",
        "세부를 그려 넣는 신경망입니다. fast와 quality는 깨끗한 사진에, photo와 photo-sharp는 "
        "압축되었거나 인화·촬영 과정에서 나빠진 사진에 맞습니다.",
    ),
    "model_auto": (
        "fast for clean photographs, photo-fast for drawings and for noisy, compressed or blurred "
        "ones: each picture is looked at.",
        "사진마다 살펴보고 고릅니다. 깨끗한 사진에는 fast, 그림이나 잡음이 있거나 압축되었거나 "
        "흐린 사진에는 photo-fast를 씁니다.",
    ),
    "auto_took": ("auto takes {model}: {reason}.", "auto가 고른 모델: {model} ({reason})."),
    "model_fast": (
        "For clean pictures; fast. A network for ×{scale} with {parameters} parameters.",
        "깨끗한 사진에 맞고 빠릅니다. ×{scale}, 매개변수 {parameters}개.",
    ),
    "model_quality": (
        "For clean pictures; more detail, slower. A network for ×{scale} with {parameters} "
        "parameters.",
        "깨끗한 사진을 더 섬세하게, 느리게 확대합니다. ×{scale}, 매개변수 {parameters}개.",
    ),
    "model_photo": (
        "For JPEGs, old prints, CCTV and camera photographs: removes the blocks of JPEG, noise and "
        "scratches. A network for ×{scale} with {parameters} parameters.",
        "압축된 사진, 오래된 인화지, CCTV, 카메라 사진에 맞습니다. 있는 것을 깨끗하게 보여 줍니다. "
        "×{scale}, 매개변수 {parameters}개.",
    ),
    "model_photo_fast": (
        "Like photo, at the speed of fast, slightly less thorough. A network for ×{scale} with "
        "{parameters} parameters.",
        "photo와 용도가 같고 fast만큼 빠르지만, 조금 덜 깨끗합니다. ×{scale}, 매개변수 "
        "{parameters}개.",
    ),
    "model_photo_sharp": (
        "Like photo, with crisper contours. A network for ×{scale} with {parameters} parameters.",
        "photo와 같되, 윤곽이 더 또렷합니다. ×{scale}, 매개변수 {parameters}개.",
    ),
    "model_other": (
        "A network for ×{scale} with {parameters} parameters.",
        "×{scale}, 매개변수 {parameters}개.",
    ),
    "strength": ("Strength", "선명도의 세기"),
    "strength_help": (
        "0 is {plain}, 1 is {sharp}, which has crisper contours and is less true to the picture. "
        "Values between mix the two.",
        "0은 {plain}: 있는 그대로 깨끗하게 합니다. 1은 {sharp}: 윤곽이 더 또렷하지만 원본과 조금 "
        "더 달라집니다. 그 사이는 둘을 섞은 것입니다.",
    ),
    "page": ("Picture in the file", "파일 속 사진 번호"),
    "page_help": (
        "This file holds {count} pictures: pages or frames. The number of the one to enlarge.",
        "이 파일에는 사진(페이지나 프레임)이 {count}장 들어 있습니다. 확대할 사진의 번호입니다.",
    ),
    "size": ("Size", "크기"),
    "size_help": (
        "The factor for width and height, or the width that you need; proportions are kept. With "
        "photo, ×1 cleans the picture without enlarging it.",
        "가로세로를 몇 배로 할지, 또는 필요한 너비를 정합니다. 비율은 그대로입니다. ×1은 크기를 "
        "두고 (photo 모델로) 깨끗하게만 합니다.",
    ),
    "to_width": ("Width…", "너비…"),
    "width": ("Width in pixels", "너비 (픽셀)"),
    "width_help": (
        "Width of the result, from 1 to 16 times that of the picture.",
        "결과의 너비입니다. 원래 너비의 1~16배까지 됩니다.",
    ),
    "format": ("Format", "형식"),
    "format_help": (
        "PNG and TIFF are lossless. JPEG, WebP and AVIF files are smaller.",
        "PNG와 TIFF는 모든 픽셀을 그대로 담고, JPEG, WebP, AVIF는 파일이 작습니다.",
    ),
    "quality": ("Quality of the file", "파일 화질"),
    "quality_help": (
        "Higher values keep more detail and make larger files.",
        "높을수록 더 많이 남고 파일이 커집니다.",
    ),
    "ensemble": ("Slightly better, much slower", "조금 더 좋게 (많이 느림)"),
    "ensemble_help": (
        "Enlarges the picture flipped and rotated in all eight ways and averages the results: "
        "slightly better, eight times slower.",
        "사진을 뒤집고 돌린 여덟 모습을 확대해 평균을 냅니다. 조금 더 좋아지고, 여덟 배 걸립니다.",
    ),
    "no_gps": ("Remove the location", "찍은 장소 지우기"),
    "no_gps_help": (
        "Removes coordinates and the names of places from the result. All other metadata and the "
        "colour profile are kept.",
        "결과에서 위치(GPS)와 지명을 지웁니다. 카메라가 적은 다른 정보와 색 프로파일은 남습니다.",
    ),
    "enlarge": ("Enlarge", "확대하기"),
    "enlarge_all": ("Enlarge {count} pictures", "사진 {count}장 확대하기"),
    "becomes": (
        "{width} × {height} becomes {to_width} × {to_height}",
        "{width} × {height} → {to_width} × {to_height}",
    ),
    # Preview and result
    "preview_help": (
        "Click in the picture to preview that part.",
        "사진에서 한 곳을 누르면 그 부분을 바로 확대해 보여 줍니다.",
    ),
    "pick": (
        "The previewed part. Click, drag, or use the arrow keys to move it.",
        "미리 볼 부분입니다. 누르거나 끌거나 화살표 키로 옮기세요.",
    ),
    "picked": (
        "{x} pixels from the left, {y} from the top",
        "왼쪽에서 {x}픽셀, 위에서 {y}픽셀",
    ),
    "preview_seconds": ("This part took {seconds} s.", "이 부분에 {seconds}초 걸렸습니다."),
    "bicubic": ("Bicubic", "바이큐빅"),
    "original": ("Original", "원본"),
    "difference": ("Difference", "차이"),
    "waiting": (
        "Waiting: {count} pictures are ahead of this one.",
        "기다리는 중입니다. 앞에 사진이 {count}장 있습니다.",
    ),
    "waiting_one": (
        "Waiting: one picture is ahead of this one.",
        "기다리는 중입니다. 앞에 사진이 1장 있습니다.",
    ),
    "waiting_next": ("Next in line.", "다음 차례입니다."),
    "starting": ("Reading the file…", "파일을 읽는 중…"),
    "running": ("{percent} %, {left} left", "{percent} %, {left} 남음"),
    "finishing": ("Writing the file…", "파일을 쓰는 중…"),
    "seconds": ("{count} s", "{count}초"),
    "minutes": ("{minutes} min {seconds} s", "{minutes}분 {seconds}초"),
    "cancel": ("Cancel", "취소"),
    "cancelling": ("Stopping…", "멈추는 중…"),
    "cancelled": ("Cancelled. No file was written.", "취소했습니다. 남은 것은 없습니다."),
    "done": (
        "{width} × {height}, {size}, in {seconds}. Model {model}, tiles: {tiles}, precision "
        "{precision}.",
        "{width} × {height}, {seconds} 걸림, {size}. {model}, 타일 {tiles}개, 정밀도 {precision}.",
    ),
    "download": ("Download {name}", "{name} 내려받기"),
    "download_all": ("Download all {count} as a zip file", "{count}장 모두 zip으로 내려받기"),
    "all_waiting": ("{done} of {count} done", "{count}장 중 {done}장 완료"),
    "evidence": (
        "Detail is estimated by the model. It is not evidence of who or what was there.",
        "세부는 신경망이 추정한 것입니다. 누구였는지, 무엇이 있었는지의 증거가 될 수 없습니다.",
    ),
    "judge": ("Do you have this picture in full size?", "줄이기 전의 원본이 있나요?"),
    "judge_help": (
        "If this picture was reduced from a larger one, upload that one to measure how close the "
        "result comes to it. The higher PSNR and SSIM, the closer.",
        "줄이기 전의 원본을 올리면 결과가 얼마나 가까운지 잽니다. PSNR과 SSIM이 높을수록 "
        "가깝습니다.",
    ),
    "judge_size": (
        "The original has {width} × {height} pixels and the result {to_width} × {to_height}. To "
        "compare them, choose a size that makes them equal.",
        "원본은 {width} × {height}, 결과는 {to_width} × {to_height} 픽셀입니다. 둘이 같아지는 "
        "크기를 고르세요.",
    ),
    "judge_large": (
        "This page compares pictures of up to {limit} megapixels. The command enlarge compare has "
        "no limit.",
        "여기서는 {limit}백만 화소까지 잽니다. 명령 enlarge compare에는 제한이 없습니다.",
    ),
    "judge_white": (
        "In the difference map, black means equal, and white a difference of {white} of 255 levels "
        "or more.",
        "차이 그림에서 검은색은 같은 곳, 흰색은 255단계 중 {white}단계 이상 다른 곳입니다.",
    ),
    # The viewer's own controls
    "viewer": (
        "Before and after. Drag to move, + and − to zoom, 1 for actual pixels, 0 to fit.",
        "전과 후. 끌어서 옮기고, +와 −로 확대·축소, 1은 실제 픽셀, 0은 화면에 맞춤.",
    ),
    "divider": ("Divider between before and after", "전과 후를 나누는 선"),
    "fit": ("Fit", "맞춤"),
    "actual": ("1:1", "1:1"),
    "zoom_in": ("Zoom in", "크게"),
    "zoom_out": ("Zoom out", "작게"),
    "left": ("Left side", "왼쪽"),
    "right": ("Right side", "오른쪽"),
    # How it works
    "plan_intro": (
        "A picture is enlarged in tiles, so that it fits in memory at any size. Separate tiles "
        "would leave seams, because the network cannot see beyond a tile's edge. So every tile "
        "overlaps its neighbours, and only its inner part, away from its edges, is kept.",
        "사진은 타일로 나누어 확대하므로 메모리가 모자라지 않습니다. 따로따로 자르기만 하면 "
        "이음매가 생깁니다. 타일 가장자리에서는 신경망이 그 너머를 볼 수 없기 때문입니다. "
        "여기서는 타일마다 이웃을 여유 있게 읽고, 확실해진 부분만 남깁니다.",
    ),
    "plan_pick": (
        "Tiles of the picture. Point at one, or move with the arrow keys.",
        "사진의 타일입니다. 가리키거나 화살표 키로 옮기세요.",
    ),
    "plan_read": ("read by the network", "신경망이 읽는 부분"),
    "plan_kept": ("kept in the result", "결과에 남는 부분"),
    "plan_field": ("what one pixel depends on", "한 픽셀이 의존하는 범위"),
    "plan_tile": (
        "Tile {number} of {count}: reads {read}, keeps {kept}",
        "타일 {number}/{count}: {read} 읽고 {kept} 남김",
    ),
    "plan_side": ("Side of a tile", "타일 한 변"),
    "plan_side_help": (
        "Side of a tile in pixels of the picture. Automatic: the side that computes the fewest "
        "pixels and fits in memory.",
        "타일 한 변의 픽셀 수입니다. 자동은 메모리 안에서 계산이 가장 적은 나눔을 고릅니다.",
    ),
    "automatic": ("Automatic", "자동"),
    "plan_tiles": ("Number of tiles", "타일 수"),
    "plan_size": ("Size of a tile", "타일 크기"),
    "plan_margin": ("How far the network looks", "신경망이 보는 거리"),
    "plan_unbounded": ("whole picture", "사진 전체"),
    "plan_halo": ("Overlap, each side", "겹침 (한쪽)"),
    "plan_more": ("Extra pixels computed", "더 계산한 픽셀"),
    "plan_exact": (
        "The tiles overlap by as far as the network looks, so nothing but rounding differs from "
        "enlarging the picture as a whole.",
        "타일이 신경망이 보는 거리만큼 겹치므로, 통째로 확대한 것과 달라지는 것은 반올림뿐입니다.",
    ),
    "plan_halo_only": (
        "This network looks farther than the overlap, so a result in tiles differs slightly from "
        "the picture enlarged as a whole. The button measures by how much.",
        "이 신경망은 겹침보다 멀리 보므로, 타일로 나누면 통째로 확대한 것과 조금 다릅니다. 얼마나 "
        "다른지는 아래 단추로 잽니다.",
    ),
    "prove": ("Check it on a part of this picture", "이 사진의 한 부분에서 확인하기"),
    "prove_help": (
        "Enlarges the centre twice, as a whole and in tiles, and compares every pixel.",
        "가운데를 통째로 한 번, 타일로 한 번 확대해서 모든 값을 비교합니다.",
    ),
    "proved": (
        "{tiles} tiles compared with the whole: the largest difference is {most} of 255 levels, "
        "and {share} of the {values} colour values are equal (precision {precision}).",
        "타일 {tiles}개와 통째로 한 것의 비교: 가장 큰 차이는 255단계 중 {most}단계, "
        "값 {values}개 중 {share}가 같습니다 ({precision}).",
    ),
    "too_small": (
        "This picture fits in one tile, so it has no seams.",
        "이 사진은 타일 하나에 들어가므로 나눌 것이 없습니다.",
    ),
    # Compare models
    "compare_intro": (
        "Compare two ways to enlarge the same part.",
        "같은 부분을 두 가지 방법으로 확대해 나란히 봅니다.",
    ),
    "compare_apart": (
        "On average a colour value differs by {mean} of 255 levels. Time: {first} "
        "{first_seconds} s, {second} {second_seconds} s.",
        "평균 255단계 중 {mean}단계 다릅니다. {first}: {first_seconds}초, "
        "{second}: {second_seconds}초.",
    ),
}


def plain(words: str) -> str:
    """Words of others, file names and messages, as Markdown that shows them as they are."""
    words = re.sub(r"([\\`*_\[\]<>$~|#!&])", r"\\\1", words)
    return re.sub(r"^(\d*)([-+.)])(?=\s)", r"\1\\\2", words)  # a list's first words


def language_of(locale: str | None) -> Language:
    """The page's language for a browser's locale ("ko-KR")."""
    return "ko" if locale is not None and locale.lower().partition("-")[0] == "ko" else "en"


def text(language: Language, key: str, **values: Any) -> str:
    """One sentence. Raises `KeyError` for an unknown key or a value that is missing."""
    english, korean = TEXTS[key]
    return (korean if language == "ko" else english).format(**values)
