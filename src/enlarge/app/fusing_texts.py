"""What the tab "Fuse frames" says, in English and Korean, side by side."""

from __future__ import annotations

FUSING_TEXTS: dict[str, tuple[str, str]] = {
    "fuse_intro": (
        "Several pictures of one scene, taken one after another or out of a video, become one with "
        "details that no single one shows. Add them in the first tab.",
        "한 장면을 이어서 찍은 사진이나 영상에서 뽑은 사진 여러 장을 한 장으로 합칩니다. 한 장에는 "
        "없는 세부가 드러납니다. 사진은 첫 탭에서 올리세요.",
    ),
    "fuse_few": (
        "This needs at least two pictures of one size.",
        "크기가 같은 사진이 두 장 이상 있어야 합니다.",
    ),
    "fuse_frames": ("Pictures to fuse", "합칠 사진"),
    "fuse_reference": ("Seen as in this picture", "기준 사진"),
    "fuse_across": ("Region, left to right, in pixels", "영역: 왼쪽에서 오른쪽(화소)"),
    "fuse_down": ("Region, top to bottom, in pixels", "영역: 위에서 아래(화소)"),
    "fuse_then": ("Then enlarged by", "합친 뒤 확대할 모델"),
    "fuse_none": (
        "no model: nothing is learned from other pictures",
        "없음: 다른 사진에서 배운 것을 쓰지 않음",
    ),
    "fuse": ("Fuse", "합치기"),
    "fuse_running": ("Fusing…", "합치는 중…"),
    "fuse_failed": ("These pictures cannot be fused: {reason}", "합칠 수 없습니다: {reason}"),
    "fuse_single": ("one picture, bicubic", "한 장, 바이큐빅"),
    "fuse_fused": ("fused", "합친 결과"),
    "fuse_used": (
        "**{used} of {count} pictures were used.**",
        "**사진 {count}장 가운데 {used}장을 썼습니다.**",
    ),
    "fuse_no_gain": (
        "The pictures together show no more than one of them, so the result is that of one alone.",
        "여러 장을 합쳐도 한 장보다 더 보이는 것이 없어, 한 장만으로 만들었습니다.",
    ),
    "fuse_plain": (
        "No model ran: nothing in the result was learned from other pictures.",
        "모델을 쓰지 않았습니다. 결과에 다른 사진에서 배운 것은 없습니다.",
    ),
    "fuse_network": (
        "Then `{model}` ran, whose knowledge comes from other pictures: the finest details may be "
        "its own.",
        "그 뒤 다른 사진으로 학습한 `{model}` 모델이 확대했으므로, 가장 작은 세부는 모델이 지어낸 "
        "것일 수 있습니다.",
    ),
    "fuse_frame": ("picture", "사진"),
    "fuse_weight": ("weight", "비중"),
    "fuse_moved": ("moved, in pixels", "움직임(화소)"),
    "fuse_reason": ("why it was not used", "쓰지 않은 까닭"),
    "fuse_report": ("Download the report", "보고서 내려받기"),
}
