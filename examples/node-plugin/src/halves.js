import { FULL, approval, duration, entered, string } from "@runner-pipelines/sdk";

const half = FULL / 2;

/**
 * The strategy "halves": half of the traffic, a while of watching, all of it. It
 * is asked again whenever something has changed, and keeps nothing in between.
 */
export const halves = {
  doc: "Gives the candidate half of the traffic, watches it, and gives it all.",
  config: {
    bake: duration({ default: "1m", known: true, doc: "How long half of the traffic is watched." }),
    approve: string({ optional: true, known: true, doc: "Name of the stage's approval that is asked for before the other half." }),
  },

  validate({ bake }, report) {
    if (bake < 0) report.error("bake", "Negative duration", "Write how long half of the traffic is watched, such as \"10m\".");
  },

  needs: () => ({ sideBySide: true, weights: "percent" }),

  next(config, s) {
    const wait = (why, changes = [], more = {}) => ({ changes, wait: { ready: changes.length > 0, verdict: true, ...more }, why });
    if (s.harm.value === "fail" || s.step.value === "fail") return { abort: "the analysis found harm" };
    if (s.verifications.some((v) => v.value === "no")) return { abort: "a verification failed" };
    if (config.approve && approval(s, config.approve) === "no") return { abort: `the approval ${config.approve} was rejected` };

    const absent = s.targets.filter((t) => !t.installed || !t.ready);
    if (absent.length > 0) return wait("the candidate is being installed", absent.map((t) => ({ target: t.name, install: true })));
    if (s.targets.some((t) => !t.verified)) return wait("the candidate is being verified", [], { ready: true });

    const to = (weight) => s.targets.filter((t) => t.observed < weight).map((t) => ({ target: t.name, weight: Math.max(weight, t.desired) }));
    if (!s.firstDeployment) {
      if (to(half).length > 0) return { step: { id: "half", title: "50%" }, ...wait("half of the traffic", to(half)) };
      if (to(FULL).length > 0 && s.targets.every((t) => t.desired < FULL)) {
        const watching = entered(s, "watch");
        if (!watching) return { step: { id: "watch", title: "watch 50%" }, ...wait("watching", [], { until: new Date(s.now.getTime() + config.bake) }) };
        const until = new Date(watching.at.getTime() + config.bake);
        if (s.now < until) return wait("watching", [], { until });
        if (s.step.value === "inconclusive") return wait("there is not enough evidence yet");
        if (config.approve && approval(s, config.approve) !== "yes") return wait(`the approval ${config.approve} is asked for`, [], { approval: config.approve });
      }
    }
    if (to(FULL).length > 0) return { step: { id: "all", title: "100%" }, ...wait("all of the traffic", to(FULL)) };
    return { finish: true, why: "the candidate has all traffic" };
  },
};
