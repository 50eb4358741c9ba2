"""Numbers that others published, for the page: quoted with their source, not measured by us."""

TITOK = (
    "ImageNet val, 50,000 images, 256 x 256: rFID as published by TiTok (Yu et al., NeurIPS 2024)"
    " and its repository, One-D-Piece (Miwa et al., 2025); bytes are tokens x bits. A user's"
    " re-run of S-128 gave 3.91 (bytedance/1d-tokenizer#105)."
)
TOKENIZERS = [  # name, bytes, bits per pixel, rFID
    ("TiTok-L-32", 48, 0.00586, 2.21),
    ("TiTok-B-64", 96, 0.0117, 1.70),
    ("TiTok-BL-64", 104, 0.0127, 2.06),
    ("TiTok-S-128", 192, 0.0234, 1.71),
    ("TiTok-BL-128", 208, 0.0254, 1.49),
    ("TiTok-SL-256", 416, 0.0508, 1.03),
    ("One-D-Piece-L-256", 384, 0.0469, 1.08),
    ("FlexTok, 1 to 256 tokens", 512, 0.0625, None),
]
KODAK = (
    "Kodak, whole images. StableCodec from its results.txt, MS-ILLM from its results.csv, all"
    " others from results.xlsx of DiffEIC, whose authors ran them"
)
CODECS = [  # name, bits per pixel, PSNR, LPIPS, DISTS
    ("StableCodec", 0.0058, 20.27, 0.310, 0.152),
    ("StableCodec", 0.0108, 21.31, 0.244, 0.125),
    ("StableCodec", 0.0203, 22.30, 0.195, 0.103),
    ("StableCodec", 0.0341, 23.01, 0.166, 0.092),
    ("DiffEIC", 0.0201, 19.57, 0.319, 0.164),
    ("DiffEIC", 0.0375, 21.19, 0.238, 0.133),
    ("DiffEIC", 0.0609, 22.52, 0.171, 0.097),
    ("DiffEIC", 0.0916, 24.23, 0.127, 0.074),
    ("RDEIC-5", 0.0238, 22.21, 0.203, 0.141),
    ("RDEIC-5", 0.0436, 23.51, 0.156, 0.113),
    ("RDEIC-5", 0.0906, 25.31, 0.100, 0.073),
    ("PerCo (SD)", 0.0324, 19.53, 0.297, 0.161),
    ("MS-ILLM", 0.0443, 24.73, 0.158, 0.135),
    ("MS-ILLM", 0.0806, 25.92, 0.110, 0.109),
    ("HiFiC", 0.0489, 24.08, 0.255, 0.192),
    ("HiFiC", 0.0790, 25.14, 0.179, 0.153),
    ("VTM (VVC)", 0.0205, 24.02, 0.569, 0.321),
    ("VTM (VVC)", 0.0480, 26.09, 0.447, 0.266),
    ("VTM (VVC)", 0.0951, 27.95, 0.346, 0.221),
]
