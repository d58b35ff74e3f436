"""Cached codec latents of a dataset's training windows, and the loader that reads them instead of decoding pictures.

    dataset/latents/<model>-<digest>/
      cache.json                  what made it; its digest is in the folder's name
      Codec_Linear/               nano's codec, with which a run that reads the cache decodes
      shards/train-000000-000.tar <clip_id>.safetensors: windows, stills, and where windows show face and mouth
      latents.parquet             a row for each kept clip: where its numbers lie, or why there are none; written last
      ledger/                     which groups of clips are done
    dataset/latents/codec-<digest>/Codec_Linear/      nano's codec, where it was fitted for a cache

Sound is not cached: the loader cuts it from the dataset's own shards, as it does for decoded windows.

plan      what of a clip is cached          maker   runs and resumes it        loader   reads it
identity  what made a cache                 unit    encodes a group of clips   feed     what training sees of it
"""
