"""The published systems: sizes of their networks, computed by hand, and the settings that their sources state."""

from __future__ import annotations

G = 10  # genres


def conv(n_in: int, n_out: int, kernel: int = 9) -> int:
    """Return the number of weights and biases of a convolution whose kernel has ``kernel`` values."""
    return n_in * n_out * kernel + n_out


def norm(n: int) -> int:
    """Return the number of scales and shifts of a batch norm."""
    return 2 * n


def dense(n_in: int, n_out: int) -> int:
    return n_in * n_out + n_out


def lstm(n_in: int, n: int) -> int:
    """Count four gates, each with weights and a bias for the input and for the state."""
    return 4 * n * (n_in + n + 2)


def gru(n_in: int, n: int) -> int:
    return 3 * n * (n_in + n + 2)


def stage(n_in: int, n: int) -> int:
    """Count two residual blocks of two 3 x 3 convolutions without bias, and a 1 x 1 convolution if the size changes."""
    beside = n_in * n + norm(n) if n_in != n else 0
    return (9 * n_in * n + norm(n) + 9 * n * n + norm(n) + beside) + 2 * (9 * n * n + norm(n))


KTH_CONVS = conv(1, 32) + conv(32, 64) + conv(64, 128)
KTH_HIDDEN = 3 * dense(256, 256) + dense(256, G)
KTH_LSTM = lstm(128, 32) + dense(32, G)
# 128 x 130 goes to 64 x 65, 32 x 32, 16 x 16, 8 x 8, 4 x 4.
CHENG = conv(1, 128) + conv(128, 64) + conv(64, 32) + conv(32, 16) + conv(16, 8) + dense(8 * 4 * 4, G)

# Input size, number of parameters, and the dropouts in their order.
BUILT: dict[str, tuple[tuple[int, int], int, list[float]]] = {
    "kth-mlp": ((60, 129), dense(60 * 129, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-mfcc": ((20, 129), dense(20 * 129, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-song": ((60, 1290), dense(77400, 256) + KTH_HIDDEN, [0.0] * 4),
    "kth-mlp-song-mfcc": ((20, 1290), dense(25800, 256) + KTH_HIDDEN, [0.0] * 4),
    # 60 x 129 goes to 30 x 64, 15 x 32, 7 x 16; 20 bins to 10, 5, 2; 1290 frames to 645, 322, 161.
    "kth-cnn": ((60, 129), KTH_CONVS + dense(128 * 7 * 16, G), [0.25] * 3),
    "kth-cnn-mfcc": ((20, 129), KTH_CONVS + dense(128 * 2 * 16, G), [0.25] * 3),
    "kth-cnn-song": ((60, 1290), KTH_CONVS + dense(128 * 7 * 161, G), [0.25] * 3),
    "kth-cnn-song-mfcc": ((20, 1290), KTH_CONVS + dense(128 * 2 * 161, G), [0.25] * 3),
    "kth-lstm": ((60, 129), lstm(60, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-mfcc": ((20, 129), lstm(20, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-song": ((60, 1290), lstm(60, 128) + KTH_LSTM, [0.0]),
    "kth-lstm-song-mfcc": ((20, 1290), lstm(20, 128) + KTH_LSTM, [0.0]),
    # 128 x 1249 goes to 64 x 416, 21 x 104, 10 x 20, 3 x 6, 1 x 1.
    "umass-arbitrary": (
        (128, 1249),
        conv(1, 16) + conv(16, 16) + conv(16, 32) + conv(32, 32) + conv(32, 64)
        + norm(16) + norm(16) + norm(32) + norm(32) + norm(64)
        + dense(64, 64) + norm(64) + dense(64, G),
        [0.1] * 5 + [0.5],
    ),
    "cheng-cnn": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-noise": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-pitch": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-mixup": ((128, 130), CHENG, [0.5] * 5),
    "umass-baseline-stacked": ((128, 130), CHENG, [0.5] * 5),
    "umass-resnet18": (
        (128, 130),
        1 * 64 * 7 * 7 + norm(64) + stage(64, 64) + stage(64, 128) + stage(128, 256) + stage(256, 512) + dense(512, G),
        [],
    ),
    "groningen-ffnn": (
        (58, 1),
        dense(58, 512) + dense(512, 256) + dense(256, 128) + dense(128, 64) + dense(64, 32) + dense(32, G),
        [0.4] * 5,
    ),
    # 58 goes to 56 and 28, then to 26 and 13.
    "groningen-cnn1d": (
        (58, 1),
        conv(1, 32, 3) + norm(32) + conv(32, 64, 3) + norm(64) + dense(64 * 13, 128) + dense(128, G),
        [0.3, 0.3, 0.2],
    ),
    # 64 x 173 goes to 62 x 171 and 31 x 85, to 29 x 83 and 14 x 41, to 12 x 39 and 6 x 19.
    "glenn-cnn": (
        (64, 173),
        conv(1, 64) + norm(64) + conv(64, 32) + norm(32) + conv(32, 32) + norm(32)
        + dense(32 * 6 * 19, 64) + dense(64, 32) + dense(32, 16) + dense(16, G),
        [0.5] * 3,
    ),
    # 96 x (37 + 1366 + 37) goes to 48 x 720, 16 x 240, 4 x 60, 1 x 15.
    "upc-crnn": (
        (96, 1366),
        conv(1, 64) + norm(64) + conv(64, 128) + norm(128) + 2 * (conv(128, 128) + norm(128))
        + gru(128, 32) + gru(32, 32) + dense(32, G),
        [0.1] * 4 + [0.3],
    ),
}  # fmt: skip

KTH = {
    "optimiser": "adam",
    "spec.sample_rate": 22050,
    "spec.n_fft": 2048,
    "spec.hop_length": 512,
    "spec.n_mfcc": 20,
    "split.method": "stratified",
    "split.train": 0.6,
    "split.valid": 0.2,
}
KTH_CLIPS = KTH | {"epochs": 5, "vote": "majority", "spec.segment_hop_frames": 65}
UMASS = {
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "epochs": 10,
    "vote": "majority",
    "spec.n_mels": 128,
    "split.train": 0.7,
    "split.valid": 0.3,
}
GRONINGEN = {
    "optimiser": "adam",
    "epochs": 300,
    "scaler": "apart",
    "spec.kind": "summary",
    "spec.segment_seconds": 3.0,
    "spec.segment_hop_seconds": 3.0,
    "split.method": "pieces",
    "split.train": 0.7,
    "split.valid": 0.3,
}
# What the sources state about training, features, split and vote.
STATED: dict[str, dict[str, object]] = {
    "kth-mlp": KTH_CLIPS,
    "kth-mlp-mfcc": KTH_CLIPS,
    "kth-mlp-song": KTH,
    "kth-mlp-song-mfcc": KTH,
    "kth-cnn": KTH_CLIPS | {"weight_decay": 1e-4},
    "kth-cnn-mfcc": KTH_CLIPS | {"weight_decay": 1e-4},
    "kth-cnn-song": KTH | {"weight_decay": 1e-4},
    "kth-cnn-song-mfcc": KTH | {"weight_decay": 1e-4},
    "kth-lstm": KTH_CLIPS,
    "kth-lstm-mfcc": KTH_CLIPS,
    "kth-lstm-song": KTH,
    "kth-lstm-song-mfcc": KTH,
    "umass-arbitrary": UMASS,
    "umass-baseline": UMASS,
    "umass-baseline-noise": UMASS | {"augment.mild.white_noise_sigma": (0.001, 0.001)},
    "umass-baseline-pitch": UMASS | {"augment.mild.pitch_semitones": 4.0},
    "umass-baseline-mixup": UMASS | {"augment.mixup_probability": 1.0},
    "umass-baseline-stacked": UMASS | {"epochs": 100},
    "cheng-cnn": UMASS | {"epochs": 100},
    "umass-resnet18": UMASS,
    "groningen-ffnn": GRONINGEN | {"batch_size": 256},
    "groningen-cnn1d": GRONINGEN | {"batch_size": 64, "patience": 5, "keep": "best"},
    "glenn-cnn": {
        "epochs": 150,
        "learning_rate": 5e-5,
        "batch_size": 32,
        "spec.n_mels": 64,
        "spec.db_reference": "max",
        "spec.segment_seconds": 4.0,
        "split.train": 0.8,
        "split.valid": 0.2,
    },
    "upc-crnn": {
        "vote": "mean",
        "spec.sample_rate": 12000,
        "spec.n_fft": 512,
        "spec.hop_length": 256,
        "spec.n_mels": 96,
        "spec.segment_seconds": 29.12,
        "spec.segment_hop_seconds": 29.12,
    },
}
# Settings of all published systems; the default recipe has other values.
PLAIN = {"sampling": "grid", "schedule": "constant", "label_smoothing": 0.0, "average_decay": 0.0, "temperature": 1.0}
