"""What fusing several frames gains over the best of one: `python -m benchmarks.fuse [SECTION…]`.

Writes benchmarks/fuse/results.json and the tables of docs/fuse.md, row by row; after an
interruption it goes on where it was, on the same commit. `--try`: a minute, nothing is written.
`--jobs N`: processes (2). `--sheets` writes docs/images/fuse-*.jpg instead. It needs

    pip install opencv-python-headless av
    pip install --no-deps font-lato font-fjallaone font-hanken-grotesk rapidocr-onnxruntime

Bursts have known motion: a scene four times as fine as the frames is moved, seen through a lens and
pixels, and recorded with noise and compression (`camera`). Scenes are photographs of the validation
part, which no model was trained on, and rendered number plates of six countries. All comparisons
are PSNR over R, G and B in the region, at the scene's own size, with the *best* that one frame
gives: for each scene the best of bicubic, `fast`, `photo` and `quality`.

The sections: `frames` (how many), `noise` (and JPEG), `motion`, `camera` (blur, shutter,
sharpening), `video` (codecs), `foreign` (frames of something else), `reading` (of 200 plates, by a
reader that is in no way part of the package).
"""
