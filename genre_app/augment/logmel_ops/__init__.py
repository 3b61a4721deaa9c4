"""Operations on batches of log-mel spectrograms, one file for each place of the recording path.

Each takes dB values ``[b, bins, frames]`` with one parameter per item (``[b]``) and returns dB values of the same shape. Random
values come from an explicit ``torch.Generator`` on the batch's device. No operation waits for the device. Noise and
reverberation are added as power.
"""
