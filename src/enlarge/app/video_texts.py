"""What the page says of videos, in English and Korean, side by side."""

from __future__ import annotations

VIDEO_TEXTS: dict[str, tuple[str, str]] = {
    "video_choose": ("Choose a video", "동영상 고르기"),
    "video_hint": ("or drop one; up to {limit}", "끌어다 놓아도 됩니다. {limit}까지"),
    "video_sending": ("Sending the video: {percent} %", "동영상을 보내는 중: {percent} %"),
    "video_not_sent": (
        "The video did not arrive. Check the connection and choose it again.",
        "동영상을 보내지 못했습니다. 연결을 확인하고 다시 고르세요.",
    ),
    "video_missing": (
        "For videos, whoever runs this page installs PyAV: {command}",
        "동영상을 다루려면 이 페이지를 띄운 사람이 PyAV를 설치해야 합니다: {command}",
    ),
    "remove_video": ("Remove this video", "이 동영상 빼기"),
    "moment": ("Moment", "장면"),
    "take_frame": ("Enlarge this frame as a picture", "이 장면만 사진으로 확대하기"),
    "video_part": ("Part", "구간"),
    "video_part_help": (
        "Only the part between these times is enlarged. Try a few seconds first.",
        "이 시간 사이만 확대합니다. 먼저 몇 초만 해 보세요.",
    ),
    "video_format_help": (
        "MP4 with H.264 plays everywhere. FFV1 loses nothing and makes very large files; ProRes is "
        "for editing.",
        "H.264를 담은 MP4는 어디서나 재생됩니다. FFV1은 잃는 것이 없지만 파일이 매우 크고, "
        "ProRes는 편집용입니다.",
    ),
    "crf": ("Quality (CRF)", "화질 (CRF)"),
    "crf_help": (
        "Lower values keep more detail and make larger files.",
        "낮을수록 더 많이 남고 파일이 커집니다.",
    ),
    "video_model": (
        "Most videos are compressed: the model photo is for those.",
        "동영상은 대개 압축되어 있습니다. 그런 데에는 photo 모델이 맞습니다.",
    ),
    "video_auto": (
        "For videos, auto takes {model}: they were all compressed.",
        "동영상에는 auto가 {model} 모델을 씁니다. 모두 압축된 것이기 때문입니다.",
    ),
    "enlarge_video": ("Enlarge the video", "동영상 확대하기"),
    "video_about": ("{frames} frames, at most about {size}", "프레임 {frames}개, 많아야 약 {size}"),
    "video_done": (
        "{width} × {height}, {frames} frames, {size}, in {seconds}. Model {model}, precision "
        "{precision}.",
        "{width} × {height}, 프레임 {frames}개, {seconds} 걸림, {size}. {model}, 정밀도 "
        "{precision}.",
    ),
    "video_broken": ("The video is damaged: {what}", "손상된 동영상입니다: {what}"),
    "video_cancelled": (
        "Cancelled. The same settings go on where it stopped.",
        "취소했습니다. 같은 설정으로 다시 시작하면 멈춘 곳에서 이어집니다.",
    ),
    "video_failed": (
        "The video could not be enlarged: {reason}",
        "동영상을 확대하지 못했습니다: {reason}",
    ),
    "unplayable": (
        "This browser does not play this format. Download the file to play it.",
        "이 브라우저는 이 형식을 재생하지 못합니다. 파일을 내려받아 재생하세요.",
    ),
    "too_large_video": (
        "{name} is too large: this page accepts videos of up to {limit}. Use the command line, "
        "which has no limit: enlarge {name}",
        "{name}이(가) 너무 큽니다. 이 페이지는 {limit}까지 받습니다. 제한이 없는 명령줄을 쓰세요: "
        "enlarge {name}",
    ),
    "too_many_frames": (
        "This part has {frames} frames, and this page enlarges up to {limit}. Choose a shorter "
        "part.",
        "이 구간은 프레임이 {frames}개인데, 이 페이지는 {limit}개까지 확대합니다. 더 짧은 구간을 "
        "고르세요.",
    ),
    "no_video": (
        "{name} is not a video that can be read.",
        "{name}은(는) 읽을 수 있는 동영상이 아닙니다.",
    ),
    "unreadable_video": ("{reason}", "{name}은(는) 동영상으로 읽을 수 없습니다. ({reason})"),
    "hours": ("{hours} h {minutes} min", "{hours}시간 {minutes}분"),
}
