//! Scores as CSV (RFC 4180, `\n` between lines): one line a view, for spreadsheets and scripts.

use std::path::Path;

use anyhow::Result;
use splat_train::metrics::ViewScore;

/// Writes `name,psnr,ssim,lpips,milliseconds,cc_psnr`, a line a view in the given order. PSNR is `inf` for a render
/// equal to its photograph; LPIPS is empty where it was not computed.
pub(crate) fn per_view_csv(path: &Path, views: &[ViewScore]) -> Result<()> {
    Ok(splat_scene::write_atomically(path, |out| {
        writeln!(out, "name,psnr,ssim,lpips,milliseconds,cc_psnr")?;
        for view in views {
            let lpips = view.lpips.map(|x| format!("{x:.6}")).unwrap_or_default();
            let ViewScore { psnr, cc_psnr, ssim, milliseconds, .. } = view;
            writeln!(
                out,
                "{},{psnr:.4},{ssim:.6},{lpips},{milliseconds:.3},{cc_psnr:.4}",
                field(&view.name)
            )?;
        }
        Ok(())
    })?)
}

/// Quoted where it has to be.
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_quotes_stay_one_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("views.csv");
        let view = |name: &str, psnr, lpips| ViewScore {
            name: name.into(),
            psnr,
            cc_psnr: psnr,
            ssim: 0.5,
            lpips,
            milliseconds: 1.25,
        };
        let views = [view("a/b.png", 20.0, None), view("c,\"d\".png", f64::INFINITY, Some(0.125))];
        per_view_csv(&path, &views).unwrap();
        assert_eq!(
            fs_err::read_to_string(path).unwrap(),
            "name,psnr,ssim,lpips,milliseconds,cc_psnr\na/b.png,20.0000,0.500000,,1.250,20.0000\n\
             \"c,\"\"d\"\".png\",inf,0.500000,0.125000,1.250,inf\n"
        );
        let nowhere = dir.path().join("no/such.csv");
        assert!(per_view_csv(&nowhere, &views).unwrap_err().to_string().contains("such.csv"));
    }
}
