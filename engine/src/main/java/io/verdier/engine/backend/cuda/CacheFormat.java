package io.verdier.engine.backend.cuda;

import io.verdier.conf.ServerConfig;

/** How keys and values are kept on the device. */
public enum CacheFormat {
  BF16("bfloat16", "", 2),
  /** Eight bits (e4m3), as they are: without a scale. */
  FP8("fp8", "fp8_", 1);

  private final String type;
  private final String kernelPart;
  private final int bytes;

  CacheFormat(String type, String kernelPart, int bytes) {
    this.type = type;
    this.kernelPart = kernelPart;
    this.bytes = bytes;
  }

  /** What the configuration asks for. */
  static CacheFormat of(ServerConfig.KvFormat format) {
    return format == ServerConfig.KvFormat.FP8 ? FP8 : BF16;
  }

  /** In vLLM's words. */
  String type() {
    return type;
  }

  /** What kernels' names have before the head dimension. */
  String kernelPart() {
    return kernelPart;
  }

  int bytes() {
    return bytes;
  }
}
