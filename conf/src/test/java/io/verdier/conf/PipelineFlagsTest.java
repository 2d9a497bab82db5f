package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class PipelineFlagsTest {
  private static final String SECRET = "--cluster-secret=0123456789abcdef";

  private static PipelineConfig pipeline(String... flags) {
    return Loading.config(flags).cluster().pipeline();
  }

  private static String problems(String... flags) {
    return Loading.problems(flags).toString();
  }

  @Test
  void stages_alone_areInOneProcess() {
    PipelineConfig pipeline = pipeline("-pp", "4");
    assertThat(pipeline.isWanted()).isTrue();
    assertThat(pipeline.spansNodes()).isFalse();
    assertThat(pipeline.stagesHere()).isEqualTo(4);
    assertThat(pipeline("--pipeline-parallel-size=0").isWanted()).isFalse();
    assertThat(pipeline().isLead()).isTrue();
  }

  @Test
  void nodes_notCounted_haveAStageEachWhereAnythingSaysThatThereAreSome() {
    for (String flag : new String[] {"--node-rank=0", "--master-addr=::1", "--master-port=4000"}) {
      assertThat(pipeline("--pipeline-parallel-size=3", flag).nodes()).as(flag).isEqualTo(3);
    }
    PipelineConfig last = pipeline("--pipeline-parallel-size=3", "--node-rank=2");
    assertThat(last.firstStage()).isEqualTo(2);
    assertThat(last.isLead()).isFalse();
    assertThat(last.masterPort()).isEqualTo(29501);
    assertThat(last.patience()).isEqualTo(Duration.ofMinutes(5));
  }

  @Test
  void nodes_fewerThanStages_haveSeveralEach() {
    PipelineConfig second = pipeline("-pp=6", "--nnodes=2", "--node-rank=1");
    assertThat(second.stagesHere()).isEqualTo(3);
    assertThat(second.firstStage()).isEqualTo(3);
    assertThat(problems("-pp=6", "--nnodes=4")).contains("4 nodes cannot share", "6 evenly");
  }

  @Test
  void rank_behindTheNodes_isRefused() {
    assertThat(problems("-pp=2", "--node-rank=2")).contains("--node-rank: 2 of 2 nodes", "most 1");
    assertThat(problems("--node-rank=1")).contains("--pipeline-parallel-size says");
    assertThat(problems("--nnodes=2")).contains("2 nodes cannot share");
  }

  @Test
  void address_openWithoutSecretOrTls_isRefusedUnlessSaid() {
    String[] open = {"-pp=2", "--master-addr=10.0.0.1"};
    assertThat(problems(open)).contains("--master-addr", "--cluster-secret");
    assertThat(problems("-pp=2", "--master-addr=10.0.0.1", SECRET)).contains("tls-cert");
    assertThat(pipeline("-pp=2", "--master-addr=10.0.0.1", "--insecure-cluster").masterHost())
        .isEqualTo("10.0.0.1");
    assertThat(problems("-pp=2", "--node-rank=1", "--cluster-secret=short"))
        .contains("5 characters");
    assertThat(problems("-pp=2", "--master-addr=a b")).contains("'a b' is not a host");
    assertThat(problems("-pp=3", "--node-rank=0", "--master-port=65535")).contains("no room");
  }

  @Test
  void otherParts_ofTheModel_areRefusedWithIt() {
    assertThat(problems("-pp=2", "-tp=2")).contains("--tensor-parallel-size 2");
    assertThat(problems("-pp=2", "-dp=2")).contains("2 with 2 engines");
    assertThat(
            problems(
                "-m",
                "vllm.entrypoints.model_cohost_server",
                "--model=/a,/b",
                "--pipeline-parallel-size=2",
                "--nnodes=2"))
        .contains("several nodes share one model");
    assertThat(problems("-pp=2", "--enable-lora")).contains("--enable-lora");
    assertThat(problems("-pp=2", "--device-ids=0")).contains("--device-ids", "2 stages");
    assertThat(problems("-pp=2", "--node-rank=0", "--backend=null")).contains("null backend");
  }

  @Test
  void flags_ofTheCluster_haveAnEffectBetweenNodesAndNoneElsewhere() {
    assertThat(Loading.loaded("-pp=2", "--node-rank=1", SECRET).notices()).isEmpty();
    assertThat(Loading.loaded("-pp=2", SECRET).notices().toString())
        .contains("--cluster-secret has no effect without --cluster");
    assertThat(Loading.loaded("-pp=2", "--node-rank=1", "--cluster-min-nodes=2").notices())
        .hasSize(1);
    assertThat(Loading.loaded("-pp=2", "--node-rank=1", "--cluster").notices().toString())
        .contains("node 0 joins");
  }

  @Test
  void flags_withoutEffect_sayShort() {
    assertThat(Loading.loaded("--distributed-timeout-seconds=9").notices()).hasSize(1);
    assertThat(Loading.loaded("-pp=2", "--backend=null").notices().toString())
        .contains("--pipeline-parallel-size has no effect");
    assertThat(Loading.loaded("-pp=2", "--kv-offloading-size=1").notices().toString())
        .contains("--kv-offloading-size has no effect with --pipeline-parallel-size above 1 yet");
  }
}
