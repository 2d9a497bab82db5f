// The work lists of attention.cu as a host fills them, for its test and its benchmark.
#pragma once

#include <algorithm>
#include <vector>

namespace lists {

constexpr int CHUNK = 64;

// Most chunks of a decode item so that every multiprocessor has four blocks, as AttentionWork has it: of `tiles` tiles
// of so many chunks.
inline int chunksPerItem(long tiles, int chunks, int kvHeads, int multiprocessors) {
  long items = std::max(1, 4 * multiprocessors / kvHeads);
  return chunks <= 3 ? chunks : int(std::max(1L, (tiles * chunks + items - 1) / items));
}

// A run of consecutive tokens of one sequence.
struct Slice {
  int row;       // of its first token
  int position;  // of its first token
  int tokens;
  int table;     // index of the sequence's first block id
};

struct Lists {
  int heads;
  int kvHeads;
  std::vector<int> tiles, items, folds;
  int records = 0;         // of partial results
  int foldedInBlock = 32;  // most chunks of a tile that its last block folds

  int group() const { return heads / kvHeads; }
  int tileCount() const { return int(tiles.size() / 8); }
  int itemCount() const { return int(items.size() / 8); }
  int foldCount() const { return int(folds.size() / 8); }

  void addPrefill(const Slice& s, int tileRows) {
    int most = tileRows / group();
    for (int t = 0; t < s.tokens; t += most) {
      add(tiles, {s.row + t, s.position + t, std::min(most, s.tokens - t), s.table});
    }
  }

  // chunksMax: most chunks of an item.
  void addDecode(const Slice& s, int chunksMax) {
    int most = 16 / group();
    for (int t = 0; t < s.tokens; t += most) {
      addDecodeTile({s.row + t, s.position + t, std::min(most, s.tokens - t), s.table}, chunksMax);
    }
  }

  // Longest first: what starts last then ends soon.
  void sort() {
    sortBy(tiles, [](const int* a, const int* b) { return a[1] + a[2] > b[1] + b[2]; });
    sortBy(items, [](const int* a, const int* b) { return a[5] > b[5]; });
  }

 private:
  void addDecodeTile(const Slice& s, int chunksMax) {
    int chunks = (s.position + s.tokens + CHUNK - 1) / CHUNK;
    int parts = (chunks + chunksMax - 1) / chunksMax;
    if (parts == 1) {
      add(items, {s.row, s.position, s.tokens, s.table, 0, chunks, -1, 1});
      return;
    }
    int rows = s.tokens * group();
    bool apart = chunks > foldedInBlock;
    for (int t = 0; apart && t < s.tokens; t++) {
      add(folds, {s.row + t, s.position + t, records + t * group(), rows, 0});
    }
    for (int i = 0; i < parts; i++) {
      int from = int(long(chunks) * i / parts), to = int(long(chunks) * (i + 1) / parts);
      add(items, {s.row, s.position, s.tokens, s.table, from, to - from, records + from * kvHeads * rows, apart ? -parts : parts});
    }
    records += chunks * kvHeads * rows;
  }

  static void add(std::vector<int>& list, std::vector<int> record) {
    record.resize(8);
    list.insert(list.end(), record.begin(), record.end());
  }

  template <class Before>
  static void sortBy(std::vector<int>& list, Before before) {
    struct Record { int x[8]; };
    Record* first = reinterpret_cast<Record*>(list.data());
    std::stable_sort(first, first + list.size() / 8,
                     [&](const Record& a, const Record& b) { return before(a.x, b.x); });
  }
};

}  // namespace lists
