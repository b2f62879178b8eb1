package io.github.llmmobile;

/** Memory of this process at one moment, in bytes. A value that the system does not tell is 0. */
public final class ProcessMemory {
  private final long rssBytes;
  private final long peakRssBytes;

  ProcessMemory(long rssBytes, long peakRssBytes) {
    this.rssBytes = rssBytes;
    this.peakRssBytes = peakRssBytes;
  }

  /**
   * Memory that is resident now, Java heap and mapped model pages included.
   *
   * @return bytes, or 0
   */
  public long rssBytes() {
    return rssBytes;
  }

  /**
   * The most memory that has been resident.
   *
   * @return bytes, or 0
   */
  public long peakRssBytes() {
    return peakRssBytes;
  }

  @Override
  public String toString() {
    return "ProcessMemory[rssBytes=" + rssBytes + ", peakRssBytes=" + peakRssBytes + "]";
  }
}
