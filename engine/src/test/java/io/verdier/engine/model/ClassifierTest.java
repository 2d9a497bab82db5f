package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What becomes of the scores 0.5 and -1, by what config.json says of them. */
class ClassifierTest {
  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource({
    "1,single_label_classification,0.622459",
    "1,multi_label_classification,0.622459",
    "1,regression,0.5",
    "1,'',0.622459",
    "2,single_label_classification,0.817574",
    "2,multi_label_classification,0.622459",
    "2,regression,0.5",
    "2,'',0.817574"
  })
  void activated_problemTypeAndCount_decide(int labels, String problem, double first)
      throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    float[] weight = Arrays.copyOf(new float[] {0.5f, 0, -1, 0}, 2 * labels);
    file.add(Classifier.WEIGHT, DType.F32, weight, labels, 2);
    Files.write(directory.resolve("model.safetensors"), file.bytes());
    Files.writeString(
        directory.resolve("config.json"),
        """
        {"architectures": ["LlamaForSequenceClassification"], "num_labels": %d%s}"""
            .formatted(labels, problem.isEmpty() ? "" : ", \"problem_type\": \"" + problem + '"'));
    ConfigReader config = ConfigReader.read(directory.resolve("config.json"));
    Classifier classifier = Classifier.read(CheckpointFiles.in(directory), config, 2).orElseThrow();
    double[] scores = classifier.scores(new float[] {1, 7});
    assertThat(scores).hasSize(labels);
    assertThat(classifier.activated(scores)[0]).isCloseTo(first, within(1e-6));
  }
}
