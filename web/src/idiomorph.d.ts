declare module "idiomorph/dist/idiomorph.esm.js" {
  export const Idiomorph: {
    morph(
      old: Element,
      fresh: Element,
      options: {
        morphStyle: "outerHTML";
        callbacks: {
          beforeNodeMorphed(old: Node, fresh: Node): boolean;
          beforeAttributeUpdated(name: string, node: Element, kind: string): boolean;
        };
      },
    ): Node[];
  };
}
